"""The laptop's stand-in for a cluster: `loopwright up` and the processes it keeps."""
