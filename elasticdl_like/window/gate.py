"""The gate before the window's application: who gets in, and the headers of every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from elasticdl_like.window.access import Access, Shown, Verdict
from elasticdl_like.window.page import security_policy

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": security_policy("'none'"),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Gate:
    """Asks `Access` about each request before the application sees it.

    Args:
        app: the application.
        access: decides.
        cookie_name: the name of the cookie that a token is exchanged for.
        secure: whether the cookie is for encrypted connections alone.
        where_token_is: the file of the token, for the message.
    """

    def __init__(
        self, app: ASGIApp, access: Access, cookie_name: str, secure: bool, where_token_is: str
    ) -> None:
        self._app = app
        self._access = access
        self._cookie_name = cookie_name
        self._secure = secure
        self._where_token_is = where_token_is

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        verdict = self._access.decide(
            Shown(
                host=request.headers.get("host", ""),
                authorization=request.headers.get("authorization", ""),
                query_token=request.query_params.get("token", ""),
                cookie=request.cookies.get(self._cookie_name, ""),
            )
        )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if verdict is Verdict.ALLOWED_FROM_NOW_ON:
                    headers.append("set-cookie", self._cookie())
            await send(message)

        await self._app_for(verdict)(scope, receive, send_with_headers)

    def _app_for(self, verdict: Verdict) -> ASGIApp:
        match verdict:
            case Verdict.FOREIGN_HOST:
                return PlainTextResponse(
                    "this page is at 127.0.0.1 or localhost, not at the name that you came by\n",
                    403,
                )
            case Verdict.NO_TOKEN:
                return PlainTextResponse(
                    f"the job's token is missing or wrong; it is in {self._where_token_is}. Open "
                    "/?token=TOKEN, or send the header Authorization: Bearer TOKEN\n",
                    401,
                    {"www-authenticate": "Bearer"},
                )
            case _:
                return self._app

    def _cookie(self) -> str:
        secure = "; Secure" if self._secure else ""
        value = self._access.cookie_value
        return f"{self._cookie_name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"
