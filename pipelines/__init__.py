"""KFP pipelines, and beside them what they compile to: YAML to upload in the UI, or to run."""
