"""CAPT, Cluster API Provider Terraform: clusters and machines as Terraform workspaces."""

__version__ = "0.1.0"
