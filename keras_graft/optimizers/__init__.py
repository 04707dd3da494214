"""CoupledSGD, one optimizer for each network, their averages and schedules."""
