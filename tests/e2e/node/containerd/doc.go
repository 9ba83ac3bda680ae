// Package containerd pins the version of the container runtime that the node of the end-to-end tests has.
//
// It holds no code: go.mod names the commands as tools, and ../binaries.py builds them.
package containerd
