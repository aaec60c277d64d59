"""The monitor's intake, measured beside what people use today."""
