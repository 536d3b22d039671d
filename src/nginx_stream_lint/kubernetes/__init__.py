"""Kubernetes: the nginx configuration that ingress controllers generate, with places in the YAML.

`translate.configurations` is the entry point; `manifest` reads the YAML.
"""
