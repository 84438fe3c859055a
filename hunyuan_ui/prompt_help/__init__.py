"""Prompt help: presets, examples, and an analysis of English prompts. All functions are pure."""
