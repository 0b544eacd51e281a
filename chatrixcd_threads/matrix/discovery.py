"""Which homeserver is meant, and whether one answers there: .well-known, versions, ways to log in."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import aiohttp

from chatrixcd_threads.errors import UserError
from chatrixcd_threads.settings import keys
from chatrixcd_threads.wizard.doors import Server

SECONDS: Final = 15.0
_VERSIONS: Final = "/_matrix/client/versions"
_MOST_BYTES: Final = 65_536
_TROUBLE: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


async def find(server: str) -> str:
    """The address of the homeserver of a server name. Without a .well-known file the name itself is the address."""
    url = f"https://{server}/.well-known/matrix/client"
    doing = f"Looking for the homeserver of {server} at {url}"
    status, body = await _get(url, doing, "Check the name, or type the address of the homeserver.")
    if status == 404:
        return f"https://{server}"
    place = body.get("m.homeserver")
    address = place.get("base_url") if isinstance(place, dict) else None
    if status != 200 or not isinstance(address, str) or keys.split_url(address) is None:
        raise UserError(
            f"{doing} brought status {status} and no homeserver's address. Type the address of the homeserver."
        )
    return address.rstrip("/")


async def look(address: str) -> Server:
    """What answers there. Raises UserError when it is no homeserver.

    Its address is the one where the answer came from: a password that is sent to one that only redirects, as http often
    does to https, can be read on the way, and does not log in.
    """
    address = address.rstrip("/")
    doing = f"Asking {address} which versions of Matrix it speaks"
    do = "Is the homeserver running there, and is the address right, with http or https at its beginning?"
    status, body, place = await _ask(f"{address}{_VERSIONS}", doing, do)
    versions = body.get("versions")
    if status != 200 or not isinstance(versions, list) or not versions:
        raise UserError(
            f"{doing} brought status {status} and no answer of a homeserver. Type the address of its client API, "
            "with http or https as it is served there."
        )
    if place.endswith(_VERSIONS):
        address = place.removesuffix(_VERSIONS)
    return Server(address, str(versions[-1])[:20], await _flows(address))


async def _flows(address: str) -> tuple[str, ...]:
    doing = f"Asking {address} how one logs in"
    status, body = await _get(f"{address}/_matrix/client/v3/login", doing, "Try again.")
    flows = body.get("flows")
    if status != 200 or not isinstance(flows, list):
        raise UserError(f"{doing} brought status {status} and no answer of a homeserver. Look at its log.")
    return tuple(str(flow["type"]) for flow in flows if isinstance(flow, dict) and "type" in flow)


async def _get(url: str, doing: str, do: str) -> tuple[int, dict[str, Any]]:
    """Status and object of an answer; what is no object counts as an empty one."""
    status, body, _ = await _ask(url, doing, do)
    return status, body


async def _ask(url: str, doing: str, do: str) -> tuple[int, dict[str, Any], str]:
    """Like `_get`, with the address at which a redirect has ended."""
    try:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
            raw = b""
            while len(raw) < _MOST_BYTES and (part := await answer.content.read(_MOST_BYTES - len(raw))):
                raw += part
            status, place = answer.status, str(answer.url) if answer.history else url
        await asyncio.sleep(0)  # lets the connection end before the loop does
    except _TROUBLE as error:
        raise UserError(f"{doing} failed: {why(error)}. {do}") from error
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    return status, body if isinstance(body, dict) else {}, place


def why(error: BaseException) -> str:
    """What went wrong with a connection, in words that a person can act upon."""
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:g} seconds"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error.args[-1]})"[:200]
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name has no address (DNS)"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS there (is it http instead of https?)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({(error.os_error.strerror or str(error.os_error)).lower()})"
    return f"no conversation ({type(error).__name__})"
