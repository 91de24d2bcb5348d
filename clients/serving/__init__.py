"""TensorFlow Serving's API without TensorFlow: its messages, its calls, and its tensors as numpy arrays."""
