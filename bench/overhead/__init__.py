"""What a pipeline's step costs beside what it does: here, in Prefect, Metaflow and Dagster, and of plain processes."""
