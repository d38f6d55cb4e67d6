"""Translation between Modal's wire protocol and the server's state: these modules decide nothing."""
