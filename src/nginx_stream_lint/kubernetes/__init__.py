"""Kubernetes: the nginx configuration that ingress controllers make, with its place in the YAML.

`translate.configurations` is the way in; `manifest` reads the YAML.
"""
