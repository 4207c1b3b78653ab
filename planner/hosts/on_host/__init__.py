"""What is copied to a host and serves a device's stages there: standard library, NumPy, zenoh, the runtime.

admission: at the source, which requests are on their way and which wait
clock_offsets: how far the clocks of neighbours are apart, from small messages there and back
engine_calls: which threads are inside the engine, so that a process does not end under them
event_log: what happened to requests, kept until it is told
event_teller: tells it towards who asked, behind all else
host: takes tensors, runs stages, hands results on; every request ends
host_manifest: what a host is to serve, read and checked
incoming_tensors: checks tensors that come in
litert_stage: opens and runs a .tflite stage
link_probe: the bandwidth of a connection, from messages or from a probe
messages: tensors and headers as bytes
neighbours: who is there, how far clocks are apart, what links let through
network: the engine between hosts (Eclipse Zenoh): queries that are answered when a message is accepted
open_requests: the requests that a host works on, by what they still wait for
own_keys: tries a host's own keys before the engine takes them
outbox: sends to one neighbour in order, again until it is accepted or too late
serve: the script that is started on the host
stage_runtime: opens and runs a stage in the runtime that it was planned with
stage_worker: runs stages whose inputs are there
status: what a host tells of itself
"""
