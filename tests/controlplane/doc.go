// Package controlplane pins the versions of Kubernetes that the end-to-end tests run against.
//
// It holds no code: go.mod names the commands as tools, build.py builds those of the control plane, and
// ../e2e/node/binaries.py those of a node. The enforcer of that node is below, as it is made of the same modules.
package controlplane
