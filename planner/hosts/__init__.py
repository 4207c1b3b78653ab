"""A plan on several hosts: what each is given, requests through them, and what they show.

certificates: a private certificate authority, and a certificate for each host
deploy: writes a folder per host
endpoints: where each host listens
host_files: code, units and texts that lie in a host's folder
measure_requests: sends samples, and puts what they took beside the plan's prediction
on_host: the code that runs on the hosts
request_client: sends requests through running hosts and collects their answers
request_times: seconds of stages and links from what hosts told about a request
routing: which host sends what to which
zenoh_config: the engine's configuration of each host
"""
