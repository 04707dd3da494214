"""What the speed benchmarks share; see benchmarks/README.md."""
