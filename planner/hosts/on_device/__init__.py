"""What lies in a bundle and measures it when asked over the network: standard library, NumPy, zenoh.

measure_run: one run of the bundle's measure.py
profile_messages: what is asked for, and what is told of a run
profile_requests: answers who asks: one run at a time
profile_server: the script that is started on the device
"""
