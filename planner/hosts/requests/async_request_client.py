"""The request client for asyncio.

async with AsyncRequestClient("deploy") as client:
answer = await client.submit({"picture": picture})
"""

import asyncio
from os import PathLike
from types import TracebackType
from typing import Self

from planner.hosts.requests.pending_requests import Answer
from planner.hosts.requests.request_client import DEADLINE_S, RequestClient
from profiling.arrays import Feeds


class AsyncRequestClient:
    """A `RequestClient` whose waits leave the event loop free; parameters and errors are the same."""

    def __init__(self, folder: str | PathLike[str], deadline_s: float = DEADLINE_S) -> None:
        self._folder, self._deadline_s = folder, deadline_s
        self._in_order = asyncio.Lock()
        self._client: RequestClient

    async def __aenter__(self) -> Self:
        self._client = await asyncio.to_thread(RequestClient, self._folder, self._deadline_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._client.close)

    async def submit(self, feeds: Feeds, plan: int | None = None) -> Answer:
        """Send a request, behind those that were submitted before, and return its answer."""
        async with self._in_order:
            future = await asyncio.to_thread(self._client.submit, feeds, plan)
        return await asyncio.wrap_future(future)
