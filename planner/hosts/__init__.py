"""A plan on several hosts: what each is given, requests through them, and what they show.

async_request_client: the request client for asyncio
certificates: a private certificate authority, and a certificate for each host
deploy: writes a folder per host
deployment_record: deploy.json: what was deployed together
endpoints: where each host listens
host_files: code, units and texts that lie in a host's folder
measure_requests: sends samples, and says what they took beside what plans predict
measured_costs: where running hosts leave what was planned for, and the scenario as they measured it
on_host: the code that runs on the hosts
plan_following: which of several plans runs at the bandwidth that hosts see
plan_watch: asks hosts for that bandwidth while requests run
plans_to_deploy: the plans of a folder that is deployed
replan: what was measured, kept in a deployment's folder for planning again
request_client: sends requests through running hosts and collects their answers
request_events: what hosts told of requests, and what they are expected to
request_times: seconds of stages and links from what hosts told about a request
routing: which host sends what to which
zenoh_config: the engine's configuration of each host
"""
