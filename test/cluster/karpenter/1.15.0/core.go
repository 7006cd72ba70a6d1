package main

import (
	"context"

	"github.com/awslabs/operatorpkg/controller"
	"github.com/samber/lo"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/overlay"
	"sigs.k8s.io/karpenter/pkg/controllers"
	"sigs.k8s.io/karpenter/pkg/controllers/node/health"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/operator"
)

func repairPolicy(row policy) cloudprovider.RepairPolicy {
	own := cloudprovider.RepairPolicy{
		ConditionType:      corev1.NodeConditionType(row.Type),
		ConditionStatus:    corev1.ConditionStatus(row.Status),
		ReasonRegex:        row.Reason,
		TolerationDuration: seconds(row.WaitSeconds),
		Action:             cloudprovider.ReplaceNode,
	}
	if row.Action == "reboot" {
		own.Action = cloudprovider.RebootNode
	}
	if row.DrainSeconds > 0 {
		own.TerminationGracePeriod = lo.ToPtr(seconds(row.DrainSeconds))
	}
	return own
}

func newControllers(ctx context.Context, op *operator.Operator, own provider) []controller.Controller {
	decorated := overlay.Decorate(own, op.GetClient(), op.InstanceTypeStore)
	matcher := lo.Must(health.NewRepairPolicyMatcher(ctx, decorated))
	cluster := state.NewCluster(op.Clock, op.GetClient(), decorated, state.WithRepairPolicyMatcher(matcher))
	return controllers.NewControllers(
		ctx, op.Manager, op.Clock, op.GetClient(), op.EventRecorder, decorated, own, cluster, op.InstanceTypeStore,
		op.PredictionStore,
	)
}
