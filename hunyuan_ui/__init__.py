"""A Gradio page over hosted HunyuanVideo that never pays twice and never loses a paid video."""

__version__ = "0.2.0"
