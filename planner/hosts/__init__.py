"""A plan on several hosts: what each is given, requests through them, and what they show.

certificates: a private certificate authority, and a certificate for each host
connection_faults: why a host cannot be reached
deploy: writes a folder per host
deploy_ray: writes a Ray Serve application, where the hosts are a cluster
deployment_record: deploy.json: what was deployed together
device_profiling: a device measures a bundle when asked over the network
endpoints: where each host listens
host_files: code, units and texts that lie in a host's folder
hosted_stages: copies stages, and says which runtime they were planned with
measured_costs: where running hosts leave what was planned for, and the scenario as they measured it
on_device: the code that lies in a bundle and measures it when asked
on_host: the code that runs on the hosts
on_ray: the code that runs on a Ray cluster
plans_to_deploy: the plans of a folder that is deployed
replan: what was measured, kept in a deployment's folder for planning again
requests: requests through running hosts, and what they took
routing: which host sends what to which
zenoh_config: the engine's configuration of each host
"""
