#!/var/lang/bin/python3.13
"""A Lambda extension that makes 127.0.0.1:PORT in the container that port of the host.

The functions take a stand-in for a vendor on the loopback only, and a container has a
loopback of its own. `carry` also serves a Linux host's end of the way: what comes to
the engine's bridge goes on to the host's loopback. Without libraries, as it runs in
Lambda's image.
"""

import asyncio
import json
import os
import urllib.request
from contextlib import suppress
from pathlib import Path

HOST = "host.docker.internal"
PORTS = Path("/opt/host_ports.json")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def carry(here: str, there: str, ports: list[int]) -> None:
    """Listen at `here` and pass on to the same ports of `there`."""
    for port in ports:

        async def take(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at: int = port
        ) -> None:
            try:
                far_reader, far_writer = await asyncio.open_connection(there, at)
            except OSError:
                writer.close()
                return
            await asyncio.gather(
                _pass_on(reader, far_writer), _pass_on(far_reader, writer)
            )

        await asyncio.start_server(take, here, port)


def _live() -> None:
    """Register with Lambda, and wait for the end. AWS, "Lambda Extensions API"."""
    base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"
    request = urllib.request.Request(  # noqa: S310
        f"{base}/register",
        b'{"events": []}',
        {"Lambda-Extension-Name": Path(__file__).name},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        identifier = answer.headers["Lambda-Extension-Identifier"]
    waiting = urllib.request.Request(  # noqa: S310
        f"{base}/event/next", headers={"Lambda-Extension-Identifier": identifier}
    )
    urllib.request.urlopen(waiting)  # noqa: S310


async def _main(ports: list[int]) -> None:
    await carry("127.0.0.1", HOST, ports)
    await asyncio.to_thread(_live)


if __name__ == "__main__":
    asyncio.run(_main(json.loads(PORTS.read_text())))
