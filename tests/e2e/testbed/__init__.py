"""A real one-node Kubernetes and a real Vault for the end-to-end tests.

Read in this order: `build` makes the binaries, `space` isolates one run from the machine,
`controlplane` and `node` start Kubernetes in it, `cluster` is what tests hold, `vault` the secret
store beside it, `images` and `product` the container images.

`python -m tests.e2e.testbed build` fills the cache, `... up` keeps a cluster until Ctrl-C.
"""
