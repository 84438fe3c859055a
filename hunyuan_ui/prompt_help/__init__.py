"""Help with prompts: presets, examples, and an analysis of the English in them. All of it is pure."""
