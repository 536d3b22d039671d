"""The deployment that a repository describes: compose files, Dockerfiles, Kubernetes manifests."""
