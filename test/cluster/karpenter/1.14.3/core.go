package main

import (
	"context"

	"github.com/awslabs/operatorpkg/controller"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/overlay"
	"sigs.k8s.io/karpenter/pkg/controllers"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/operator"
)

func repairPolicy(row policy) cloudprovider.RepairPolicy {
	return cloudprovider.RepairPolicy{
		ConditionType:      corev1.NodeConditionType(row.Type),
		ConditionStatus:    corev1.ConditionStatus(row.Status),
		TolerationDuration: seconds(row.WaitSeconds),
	}
}

func newControllers(ctx context.Context, op *operator.Operator, own provider) []controller.Controller {
	decorated := overlay.Decorate(own, op.GetClient(), op.InstanceTypeStore)
	cluster := state.NewCluster(op.Clock, op.GetClient(), decorated)
	return controllers.NewControllers(
		ctx, op.Manager, op.Clock, op.GetClient(), op.EventRecorder, decorated, own, cluster, op.InstanceTypeStore,
	)
}
