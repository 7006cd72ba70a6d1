// Karpenter core with its kwok cloud provider, which repairs by the policies of a file: the real controllers, and
// waits of seconds. What differs between the versions is in the core.go beside each go.mod.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	kwok "sigs.k8s.io/karpenter/kwok/cloudprovider"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/operator"
)

// policy is a row of the file named by REPAIR_POLICIES; the coordinator reads the same file.
type policy struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	// Reason is a regular expression; empty: every other reason. Up to 1.14 the reason does not matter.
	Reason      string `json:"reason"`
	WaitSeconds int    `json:"waitSeconds"`
	// Action is replace or reboot, from 1.15 on.
	Action string `json:"action"`
	// DrainSeconds is how long pods may hold a drain, from 1.15 on; 0: no bound.
	DrainSeconds int `json:"drainSeconds"`
}

func seconds(count int) time.Duration { return time.Duration(count) * time.Second }

// provider is the kwok provider with the policies of the file.
type provider struct {
	*kwok.CloudProvider
	policies []cloudprovider.RepairPolicy
}

func (p provider) RepairPolicies() []cloudprovider.RepairPolicy { return p.policies }

// Get finds an instance as long as its Node exists: the kwok provider loses a node that is being deleted, and one that
// is not Ready then vanishes without a drain.
func (p provider) Get(ctx context.Context, id string) (*v1.NodeClaim, error) {
	found, err := p.CloudProvider.Get(ctx, id)
	if err == nil || !cloudprovider.IsNodeClaimNotFoundError(err) {
		return found, err
	}
	all, listErr := p.CloudProvider.List(ctx)
	if listErr != nil {
		return nil, listErr
	}
	for _, one := range all {
		if one.Status.ProviderID == id {
			return one, nil
		}
	}
	return nil, err
}

func newProvider(ctx context.Context, kube client.Client) (provider, error) {
	text, err := os.ReadFile(os.Getenv("REPAIR_POLICIES"))
	if err != nil {
		return provider{}, fmt.Errorf("reading the policies, %w", err)
	}
	var rows []policy
	if err := json.Unmarshal(text, &rows); err != nil {
		return provider{}, fmt.Errorf("reading the policies, %w", err)
	}
	types, err := kwok.ConstructInstanceTypes(ctx)
	if err != nil {
		return provider{}, fmt.Errorf("constructing instance types, %w", err)
	}
	own := make([]cloudprovider.RepairPolicy, 0, len(rows))
	for _, row := range rows {
		own = append(own, repairPolicy(row))
	}
	return provider{kwok.NewCloudProvider(ctx, kube, types), own}, nil
}

func main() {
	ctx, op := operator.NewOperator()
	own, err := newProvider(ctx, op.GetClient())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	op.WithControllers(ctx, newControllers(ctx, op, own)...).Start(ctx)
}
