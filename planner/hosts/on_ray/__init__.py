"""What is copied beside a plan's stages and serves them on a Ray cluster: Ray Serve, NumPy, the runtime.

application: the deployments that Ray Serve runs: one per stage, and the one that is asked
application_manifest: what the application is to serve, read and checked
npz_arrays: named arrays in .npz, as requests and answers carry them
"""
