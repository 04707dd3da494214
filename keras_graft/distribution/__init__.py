"""Replicas and workers, on `tf.distribute`."""
