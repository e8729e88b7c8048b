// Shows the state that the server computes, and sends what is clicked. It computes no
// figure of its own: each element with data-figure shows one value of the state.
"use strict";

const POLL_MS = 400;
const $ = (id) => document.getElementById(id);
const at = (state, path) => path.split(".").reduce((found, name) => found[name], state);
const shown = (value) => value.toLocaleString("en");
const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function act(action, value) {
  try {
    await fetch("/do", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ action, value }),
    });
    await refresh();
  } catch {
    lost();
  }
}

function lost() {
  setText($("status"), "the local cloud has stopped");
  $("status").className = "status bad";
}

// Members

function showDots(grid, people, side, what) {
  if (grid.children.length !== people.length) {
    grid.replaceChildren(...people.map(() => element("span", { class: "dot" })));
  }
  people.forEach((person, index) => {
    const names = ["dot"];
    if (person[side]) names.push("in");
    if (person.anonymous) names.push("square");
    if (person.in !== person.braze) names.push("differs");
    const joined = names.join(" ");
    if (grid.children[index].className !== joined) grid.children[index].className = joined;
  });
  const count = people.filter((person) => person[side]).length;
  grid.setAttribute("aria-label", `${count} of ${people.length} people are in the cohort in ${what}`);
}

// Pages and syncs

const SIGNS = { members: "", add_members: "+", remove_members: "−" };
const ACTIONS = { members: "lists", add_members: "adds", remove_members: "removes" };
const NOTES = { "request lost": "lost", "answer lost": "no answer", repeated: "repeated", "not taken": "not taken" };

function showPages(list, pages) {
  const key = JSON.stringify(pages);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  if (!pages.length) {
    list.replaceChildren(element("li", { class: "none" }, "No page has been sent yet: “Sync now” sends some."));
    return;
  }
  const had = new Set([...list.children].map((item) => item.dataset.id));
  list.replaceChildren(...pages.slice(-11).reverse().map((page) => {
    const place = page.total ? `${page.number} of ${page.total}` : "page";
    const item = element("li", {
      "data-id": page.id,
      "data-fate": page.fate,
      title: `${ACTIONS[page.action]} ${page.members} people, ${place}: ${page.fate}`,
    }, `${SIGNS[page.action]}${page.members}`, element("small", {}, NOTES[page.fate] || place),
    element("span", { class: "hidden" }, page.fate));
    if (had.has(String(page.id))) item.style.animation = "none";
    return item;
  }));
}

function showSyncs(body, syncs) {
  const key = JSON.stringify(syncs);
  if (body.dataset.key === key) return;
  body.dataset.key = key;
  if (!syncs.length) {
    body.replaceChildren(element("tr", {}, element("td", { colspan: 5, class: "empty" }, "The ledger has no sync of this cohort yet.")));
    return;
  }
  body.replaceChildren(...syncs.map((sync) => element("tr", {},
    element("td", {}, new Date(sync.seq).toLocaleTimeString("en-GB")),
    element("td", {}, sync.kind),
    element("td", {}, sync.total ? `${sync.accepted} of ${sync.total}` : `${sync.accepted}`),
    element("td", {}, `${sync.processed}`),
    element("td", {}, element("span", { class: `chip ${sync.state}` }, sync.state)))));
}

// Events

const FATES = ["delivered", "filtered", "quarantined", "on_the_way"];

function showChannels(list, channels) {
  if (list.children.length !== channels.length) {
    list.replaceChildren(...channels.map(() => element("li", {},
      element("div", { class: "bar", "aria-hidden": "true" }, ...FATES.map((fate) => element("i", { class: fate }))),
      element("b"), element("span"))));
  }
  const most = Math.max(1, ...channels.map((channel) => channel.sent));
  channels.forEach((channel, index) => {
    const [bar, name, count] = list.children[index].children;
    FATES.forEach((fate, place) => {
      bar.children[place].style.height = `${(100 * channel[fate]) / most}%`;
    });
    setText(name, channel.name);
    setText(count, `${shown(channel.delivered)} of ${shown(channel.sent)}`);
    list.children[index].title = FATES.map((fate) => `${channel[fate]} ${fate.replaceAll("_", " ")}`).join(", ");
  });
}

function showReasons(list, events) {
  const rows = [["filtered", events.filtered_reasons], ["quarantined", events.quarantined_reasons]]
    .flatMap(([fate, reasons]) => Object.entries(reasons).map(([why, count]) => [`${fate}: ${why}`, count]));
  const key = JSON.stringify(rows);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...(rows.length
    ? rows.slice(0, 6).map(([text, count]) => element("li", {}, element("span", { title: text }, text), element("b", {}, shown(count))))
    : [element("li", { class: "none" }, "Nothing was left out.")]));
}

// The page as a whole

function showStatus(state) {
  const differ = state.cohort.difference;
  const [text, tone] = state.equal ? ["Both sides are equal", "good"]
    : differ ? [`${differ} differ`, "warn"]
    : state.events.on_the_way ? [`${state.events.on_the_way} events on the way`, "warn"] : ["At work", "warn"];
  setText($("status"), text);
  $("status").className = `status ${tone}`;
  setText($("difference"), differ ? `${differ} ${differ === 1 ? "person differs" : "people differ"} from Mixpanel` : "The same people as in Mixpanel");
  $("difference").className = differ ? "comparison warn" : "comparison";
}

function showTour(tour) {
  const list = $("scenes");
  if (list.children.length !== tour.scenes.length) {
    list.replaceChildren(...tour.scenes.map((title, index) => element("li", { "data-number": index + 1 }, title)));
  }
  [...list.children].forEach((item, index) => {
    const number = index + 1;
    const done = number < tour.scene || (number === tour.scene && !tour.running && tour.passed);
    item.className = done ? "done" : number === tour.scene && tour.running ? "now" : "";
    if (number === tour.scene && tour.running) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  setText($("tour"), tour.running ? "Stop the tour" : "Take the tour");
}

function showControls(state) {
  const touring = state.tour.running;
  for (const button of document.querySelectorAll("[data-action]")) {
    button.disabled = touring || Boolean(button.dataset.needs && !state[button.dataset.needs]);
  }
  for (const button of document.querySelectorAll("[data-switch]")) {
    button.setAttribute("aria-checked", String(state.switches[button.dataset.switch]));
    button.disabled = touring;
  }
  const select = $("dialect");
  if (!select.options.length) {
    select.replaceChildren(...state.dialects.map((name) => element("option", { value: name }, name)));
  }
  if (document.activeElement !== select) select.value = state.dialect;
  select.disabled = touring;
}

function show(state) {
  for (const figure of document.querySelectorAll("[data-figure]")) {
    setText(figure, shown(at(state, figure.dataset.figure)));
  }
  setText($("sentence"), state.sentence.text);
  $("narration").className = `narration ${state.sentence.tone}`;
  showStatus(state);
  showDots($("mixpanel-dots"), state.cohort.people, "in", "Mixpanel");
  showDots($("braze-dots"), state.cohort.people, "braze", "Braze");
  showPages($("pages"), state.pages);
  showSyncs($("syncs"), state.syncs);
  showChannels($("channels"), state.events.channels);
  showReasons($("reasons"), state.events);
  showTour(state.tour);
  showControls(state);
  document.body.dataset.busy = state.busy;
  document.body.dataset.finished = state.finished;
}

async function refresh() {
  const answer = await fetch("/state", { cache: "no-store" });
  show(await answer.json());
}

async function poll() {
  try {
    await refresh();
  } catch {
    lost();
  }
  setTimeout(poll, POLL_MS);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button || button.disabled) return;
  if (button.id === "tour") act(button.textContent.startsWith("Stop") ? "stop" : "tour");
  else if (button.dataset.action) act(button.dataset.action);
  else if (button.dataset.switch) act(button.dataset.switch, button.getAttribute("aria-checked") !== "true");
});
$("dialect").addEventListener("change", (event) => {
  act("dialect", event.target.value);
  event.target.blur();
});
poll();
