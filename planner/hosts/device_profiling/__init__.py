"""Profiles of devices over the network: `plan profile --host`.

profile_bundle: what lets a bundle be measured over the network
profile_client: asks a device to measure its bundle, and brings the profile back
"""
