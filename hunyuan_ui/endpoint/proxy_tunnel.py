"""Connections through a proxy, established before anything of a request is sent.

Opening the tunnel is part of connecting: any failure before it is open proves that a paid request was never sent.
httpx's own proxies do not distinguish that from a lost response (docs/facts/faults-and-security.md 9).
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterable
from typing import Any, Final, cast

import anyio
import httpcore

from hunyuan_ui.outbound_proxies import Proxies, Proxy

_LONGEST_HEAD: Final = 16 * 1024  # bytes of a proxy's response head
_SOCKS_ADDRESS: Final = {1: 4, 4: 16}  # bytes of an IPv4 and an IPv6 address, by its type in a SOCKS reply
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


class ProxyRefusedError(httpcore.ConnectError):
    """A proxy refused to open a tunnel.

    Args:
        status: Of its response; 0 if it gave none.
    """

    def __init__(self, status: int = 0) -> None:
        super().__init__("the proxy made no tunnel")
        self.status = status


class ProxyBackend(httpcore.AsyncNetworkBackend):
    """Connects to each host directly or through its proxy.

    Args:
        ssl_context: Verifies a proxy that itself uses TLS.
    """

    def __init__(self, proxies: Proxies, ssl_context: ssl.SSLContext) -> None:
        self._proxies = proxies
        self._ssl_context = ssl_context
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect, through the proxy if there is one; every failure is raised as a failure to connect."""
        proxy = self._proxies.proxy_for(host)
        if proxy is None:
            return await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            with anyio.fail_after(timeout):
                stream = await self._inner.connect_tcp(proxy.host, proxy.port, timeout, local_address, socket_options)
                return await self._tunnelled(stream, proxy, host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the proxy did not answer in time") from error

    def is_used_for(self, host: str) -> bool:
        """Whether a host is reached through a proxy."""
        return self._proxies.proxy_for(host) is not None

    async def _tunnelled(
        self, stream: httpcore.AsyncNetworkStream, proxy: Proxy, host: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        try:
            if proxy.scheme == "https":
                stream = await stream.start_tls(self._ssl_context, proxy.host)
            if proxy.scheme.startswith("socks"):
                await _open_socks(stream, proxy, host, port)
            else:
                await _open_tunnel(stream, proxy, host, port)
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            await stream.aclose()
            if isinstance(error, ProxyRefusedError):
                raise
            raise ProxyRefusedError from error
        except BaseException:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise
        return stream


async def _open_tunnel(stream: httpcore.AsyncNetworkStream, proxy: Proxy, host: str, port: int) -> None:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.user:
        login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {login}")
    await stream.write("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = b""
    # Nothing may follow the head: the server sends its first byte only after our handshake.
    while b"\r\n\r\n" not in head:
        part = await stream.read(4096)
        head += part
        if not part or len(head) > _LONGEST_HEAD:
            raise ProxyRefusedError
    status = _STATUS.match(head)
    if status is None or not 200 <= int(status[1]) < 300 or not head.endswith(b"\r\n\r\n"):
        raise ProxyRefusedError(int(status[1]) if status else 0)


async def _open_socks(stream: httpcore.AsyncNetworkStream, proxy: Proxy, host: str, port: int) -> None:
    """Open a tunnel by RFC 1928 and 1929; the proxy resolves names."""
    from socksio import ProtocolError, socks5

    method = socks5.SOCKS5AuthMethod.USERNAME_PASSWORD if proxy.user else socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED
    connection: Any = socks5.SOCKS5Connection()

    async def reply_to(request: Any) -> Any:
        connection.send(request)
        await stream.write(connection.data_to_send())
        is_of_command = isinstance(request, socks5.SOCKS5CommandRequest)
        return connection.receive_data(await _socks_reply(stream, is_of_command=is_of_command))

    try:
        chosen = await reply_to(socks5.SOCKS5AuthMethodsRequest([method]))
        if chosen.method != method:
            raise ProxyRefusedError
        if proxy.user:
            login = socks5.SOCKS5UsernamePasswordRequest(proxy.user.encode(), proxy.password.encode())
            if not (await reply_to(login)).success:
                raise ProxyRefusedError
        command = socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port))
        if (await reply_to(command)).reply_code != socks5.SOCKS5ReplyCode.SUCCEEDED:
            raise ProxyRefusedError
    except (ProtocolError, ValueError, IndexError) as error:
        raise ProxyRefusedError from error


async def _socks_reply(stream: httpcore.AsyncNetworkStream, *, is_of_command: bool) -> bytes:
    """Read exactly one reply, which may arrive in pieces; the bytes after it belong to the tunnel."""
    reply, length = b"", 5 if is_of_command else 2
    while len(reply) < length:
        part = await stream.read(length - len(reply))
        if not part:
            break
        reply += part
        if is_of_command and len(reply) == length == 5 and reply[1] == 0:  # up to an address, or the length of a name
            length += _SOCKS_ADDRESS.get(reply[3], reply[4] + 1) + 1
    return reply
