"""What runs in the process with TensorFlow; nobody outside imports it."""
