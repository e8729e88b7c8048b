// Texts whose contrast with their ground is below 4.5 (WCAG 2.2, 1.4.3, AA).
() => {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const mix = (over, under) => {
    const alpha = over[3] === undefined ? 1 : over[3];
    return [0, 1, 2].map((i) => over[i] * alpha + under[i] * (1 - alpha));
  };
  const light = (rgb) => rgb.map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = (style) => {
    // A gradient counts by its last colour, a colour function as a canvas reads it.
    const found = style.backgroundImage.match(/rgba?\([^)]*\)/g);
    return parse(found ? found[found.length - 1] : rgb(style.backgroundColor));
  };
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return `rgba(${r}, ${g}, ${b}, ${a / 255})`;
  };
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    return mix(colour(getComputedStyle(element)), ground(element.parentElement));
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const seen = element.checkVisibility() && !element.closest(".hidden, :disabled, noscript, option");
    if (!walker.currentNode.textContent.trim() || !seen) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(mix(parse(rgb(style.color)), ground(element))), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${walker.currentNode.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return bad;
}
