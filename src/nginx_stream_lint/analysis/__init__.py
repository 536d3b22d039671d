"""The stages combined: from paths to findings and explanations."""
