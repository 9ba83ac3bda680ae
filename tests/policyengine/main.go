// Command policyengine answers questions about connections with the engine of kube-network-policies.
//
// It reads one JSON object for each line of standard input: the objects of a cluster, and connections between addresses.
// It prints one JSON list for each line: whether each connection is allowed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"
	admin "sigs.k8s.io/kube-network-policies/plugins/npa-v1alpha1"
	cluster "sigs.k8s.io/kube-network-policies/plugins/npa-v1alpha2"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	npainformers "sigs.k8s.io/network-policy-api/pkg/client/informers/externalversions"
)

type connection struct {
	Source      string
	Destination string
	Protocol    corev1.Protocol
	Port        int
}

type question struct {
	Objects     []json.RawMessage
	Connections []connection
}

// nothing resolves no name: names of domains are not part of the questions.
type nothing struct{}

func (nothing) ContainsIP(string, net.IP) bool { return false }

// stores maps each kind to its store and to a new object of that kind.
type stores map[string]struct {
	indexer cache.Indexer
	made    func() any
}

func engine() (*networkpolicy.PolicyEngine, stores) {
	core := informers.NewSharedInformerFactory(nil, 0)
	npa := npainformers.NewSharedInformerFactory(nil, 0)
	pods, namespaces, nodes := core.Core().V1().Pods(), core.Core().V1().Namespaces(), core.Core().V1().Nodes()
	policies := core.Networking().V1().NetworkPolicies()
	admins := npa.Policy().V1alpha1().AdminNetworkPolicies()
	baselines := npa.Policy().V1alpha1().BaselineAdminNetworkPolicies()
	clusters := npa.Policy().V1alpha2().ClusterNetworkPolicies()
	evaluators := []api.PolicyEvaluator{
		admin.NewAdminNetworkPolicy(admins, nothing{}),
		cluster.NewClusterNetworkPolicy(v1alpha2.AdminTier, clusters, nothing{}, nodes.Lister()),
		networkpolicy.NewStandardNetworkPolicy("", namespaces, pods, policies),
		admin.NewBaselineAdminNetworkPolicy(baselines),
		cluster.NewClusterNetworkPolicy(v1alpha2.BaselineTier, clusters, nothing{}, nodes.Lister()),
	}
	known := stores{
		"Pod":                        {pods.Informer().GetIndexer(), func() any { return &corev1.Pod{} }},
		"Namespace":                  {namespaces.Informer().GetIndexer(), func() any { return &corev1.Namespace{} }},
		"NetworkPolicy":              {policies.Informer().GetIndexer(), func() any { return &networkingv1.NetworkPolicy{} }},
		"AdminNetworkPolicy":         {admins.Informer().GetIndexer(), func() any { return &v1alpha1.AdminNetworkPolicy{} }},
		"BaselineAdminNetworkPolicy": {baselines.Informer().GetIndexer(), func() any { return &v1alpha1.BaselineAdminNetworkPolicy{} }},
		"ClusterNetworkPolicy":       {clusters.Informer().GetIndexer(), func() any { return &v1alpha2.ClusterNetworkPolicy{} }},
	}
	provider := podinfo.NewInformerProvider(pods, namespaces, nodes, nil)
	return networkpolicy.NewPolicyEngine(provider, evaluators), known
}

// load makes the stores hold these objects, and nothing else.
func load(known stores, objects []json.RawMessage) error {
	found := map[string][]any{}
	for _, raw := range objects {
		var head struct{ Kind string }
		if err := json.Unmarshal(raw, &head); err != nil {
			return err
		}
		store, ok := known[head.Kind]
		if !ok {
			continue
		}
		object := store.made()
		if err := json.Unmarshal(raw, object); err != nil {
			return err
		}
		found[head.Kind] = append(found[head.Kind], object)
	}
	for kind, store := range known {
		if err := store.indexer.Replace(found[kind], ""); err != nil {
			return err
		}
	}
	return nil
}

func answer(line []byte, asked *networkpolicy.PolicyEngine, known stores) ([]bool, error) {
	var it question
	if err := json.Unmarshal(line, &it); err != nil {
		return nil, err
	}
	if err := load(known, it.Objects); err != nil {
		return nil, err
	}
	answers := make([]bool, 0, len(it.Connections))
	for _, one := range it.Connections {
		packet := &network.Packet{
			SrcIP: net.ParseIP(one.Source), DstIP: net.ParseIP(one.Destination), Proto: one.Protocol, DstPort: one.Port, SrcPort: 40000,
		}
		allowed, err := asked.EvaluatePacket(context.Background(), packet)
		if err != nil {
			return nil, err
		}
		answers = append(answers, allowed)
	}
	return answers, nil
}

func run() error {
	asked, known := engine()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		answers, err := answer(lines.Bytes(), asked, known)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(answers); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
