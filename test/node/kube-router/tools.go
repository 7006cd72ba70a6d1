//go:build tools

// Package kuberouter pins the sources of the engine that enforces NetworkPolicies on the nodes under test.
package kuberouter

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
