"""Requests through running hosts: the clients, what hosts tell of them, and what they took.

async_request_client: the request client for asyncio
measure_requests: sends samples, and says what they took beside what plans predict
pending_requests: the requests without an answer, each of which ends once
plan_following: which of several plans runs at the bandwidth that hosts see
plan_watch: asks hosts for that bandwidth while requests run
request_client: sends requests through running hosts and collects their answers
request_events: what hosts told of requests, and what they are expected to
request_times: seconds of stages and links from what hosts told about a request
request_trace: requests as a trace that Chrome and Perfetto show
"""
