"""Requests through running hosts: the clients, and what they answer."""

try:
    from planner.hosts.requests.async_request_client import AsyncRequestClient as AsyncRequestClient
    from planner.hosts.requests.pending_requests import Answer as Answer
    from planner.hosts.requests.request_client import RequestClient as RequestClient
except ImportError as exc:
    raise ImportError("talking to hosts needs the extra: pip install 'splitquant[hosts]'") from exc
