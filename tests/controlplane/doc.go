// Package controlplane pins the versions of the Kubernetes control plane that the end-to-end tests run against.
//
// It holds no code: go.mod names the commands as tools, and build.py builds them.
package controlplane
