"""What is wrong with a run: rules over its logged numbers, and the field notes' checklist."""
