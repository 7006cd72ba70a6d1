//go:build tools

// Package kwok pins the source of kwok, which plays the kubelets of the cluster tests.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
