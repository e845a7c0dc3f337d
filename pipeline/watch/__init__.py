"""What a run is watched for: alerts, hosts that must be heard, damage that is known, metrics."""
