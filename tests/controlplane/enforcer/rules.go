package main

import (
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
)

const table = "enforcer"

// cluster is what the rules are made of.
type cluster struct {
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
}

// render writes the rule set of the cluster as it is.
//
// A comment notes the resourceVersion of each policy and the labels of each pod. Traffic from the node itself to its
// pods passes, as with most plugins; IPv6 is left alone.
func (c *cluster) render() (string, error) {
	pods, err := c.networked()
	if err != nil {
		return "", err
	}
	policies, err := c.policies.List(labels.Everything())
	if err != nil {
		return "", err
	}
	sort.Slice(policies, func(i, j int) bool { return key(policies[i]) < key(policies[j]) })
	var text, chains strings.Builder
	for _, policy := range policies {
		fmt.Fprintf(&text, "# policy %s %s\n", key(policy), policy.ResourceVersion)
	}
	var inbound, outbound []string
	for _, pod := range pods {
		fmt.Fprintf(&text, "# pod %s %s %s\n", key(pod), pod.Status.PodIP, labels.Set(pod.Labels))
		in, out := c.restrictions(pod, policies, pods)
		id := strings.ReplaceAll(pod.Status.PodIP, ".", "-")
		if in.isolates {
			inbound = append(inbound, fmt.Sprintf("%s : jump in-%s", pod.Status.PodIP, id))
			in.write(&chains, "in-"+id)
		}
		if out.isolates {
			outbound = append(outbound, fmt.Sprintf("%s : jump out-%s", pod.Status.PodIP, id))
			out.write(&chains, "out-"+id)
		}
	}
	inward, outward := jump("daddr", inbound), jump("saddr", outbound)
	fmt.Fprintf(&text, "table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n%[2]s", table, chains.String())
	// Between pods and out of the node: forward. From a pod to the node itself: input.
	text.WriteString(hook("forward", outward+inward))
	text.WriteString(hook("input", outward))
	text.WriteString("}\n")
	return text.String(), nil
}

// networked lists the pods that have an address of their own, in a stable order.
func (c *cluster) networked() ([]*corev1.Pod, error) {
	all, err := c.pods.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var pods []*corev1.Pod
	for _, pod := range all {
		finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !finished {
			pods = append(pods, pod)
		}
	}
	sort.Slice(pods, func(i, j int) bool { return key(pods[i]) < key(pods[j]) })
	return pods, nil
}

func key(object metav1.Object) string { return object.GetNamespace() + "/" + object.GetName() }

func jump(side string, chains []string) string {
	if len(chains) == 0 {
		return ""
	}
	return fmt.Sprintf("    ip %s vmap { %s }\n", side, strings.Join(chains, ", "))
}

func hook(name, jumps string) string {
	return fmt.Sprintf("  chain %[1]s {\n    type filter hook %[1]s priority filter - 5; policy accept;\n"+
		"    ct state established,related accept\n%[2]s  }\n", name, jumps)
}

// restriction is what all policies together say of one pod in one direction.
type restriction struct {
	isolates bool
	admits   []string
}

func (r restriction) write(text *strings.Builder, name string) {
	fmt.Fprintf(text, "  chain %s {\n", name)
	for _, match := range r.admits {
		fmt.Fprintf(text, "    %s return\n", match)
	}
	// A refusal, not silence: who tries knows at once that it was the policy, and nothing has to be waited for.
	text.WriteString("    meta l4proto tcp counter reject with tcp reset\n    counter drop\n  }\n")
}

// restrictions adds up the policies that select the pod.
func (c *cluster) restrictions(pod *corev1.Pod, policies []*networkingv1.NetworkPolicy, pods []*corev1.Pod) (in, out restriction) {
	for _, policy := range policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		for _, direction := range policy.Spec.PolicyTypes {
			if direction == networkingv1.PolicyTypeIngress {
				in.isolates = true
				for _, rule := range policy.Spec.Ingress {
					in.admits = append(in.admits, c.ingress(policy.Namespace, rule, pods, pod)...)
				}
			} else {
				out.isolates = true
				for _, rule := range policy.Spec.Egress {
					out.admits = append(out.admits, c.egress(policy.Namespace, rule, pods)...)
				}
			}
		}
	}
	return in, out
}

func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of))
}

// ingress writes the matches of one ingress rule; the pod's own container ports are what a port's name stands for.
func (c *cluster) ingress(namespace string, rule networkingv1.NetworkPolicyIngressRule, pods []*corev1.Pod, pod *corev1.Pod) []string {
	return combined(c.peers("saddr", namespace, rule.From, pods), ports(rule.Ports, pod))
}

// egress writes the matches of one egress rule; a port's name stands for another number at each destination.
func (c *cluster) egress(namespace string, rule networkingv1.NetworkPolicyEgressRule, pods []*corev1.Pod) []string {
	var numbered, named []networkingv1.NetworkPolicyPort
	for _, port := range rule.Ports {
		if port.Port != nil && port.Port.StrVal != "" {
			named = append(named, port)
		} else {
			numbered = append(numbered, port)
		}
	}
	var matches []string
	if len(rule.Ports) == 0 || len(numbered) > 0 {
		matches = combined(c.peers("daddr", namespace, rule.To, pods), ports(numbered, nil))
	}
	if len(named) == 0 {
		return matches
	}
	for _, pod := range pods {
		here := fmt.Sprintf("ip daddr %s", pod.Status.PodIP)
		for _, peer := range c.peers("daddr", namespace, rule.To, pods) {
			for _, match := range ports(named, pod) {
				matches = append(matches, strings.TrimSpace(strings.Join([]string{here, peer, match}, " ")))
			}
		}
	}
	return matches
}

func combined(addresses, ports []string) []string {
	var matches []string
	for _, address := range addresses {
		for _, port := range ports {
			matches = append(matches, strings.TrimSpace(address+" "+port))
		}
	}
	return matches
}

// peers writes one match for each peer; no peers at all means anybody.
func (c *cluster) peers(side, namespace string, peers []networkingv1.NetworkPolicyPeer, pods []*corev1.Pod) []string {
	if len(peers) == 0 {
		return []string{""}
	}
	var matches []string
	for _, peer := range peers {
		if peer.IPBlock != nil {
			matches = append(matches, block(side, peer.IPBlock)...)
			continue
		}
		var addresses []string
		for _, pod := range pods {
			if c.matches(peer, namespace, pod) {
				addresses = append(addresses, pod.Status.PodIP)
			}
		}
		if len(addresses) > 0 {
			matches = append(matches, fmt.Sprintf("ip %s { %s }", side, strings.Join(addresses, ", ")))
		}
	}
	return matches
}

// block writes the match of an address range; a pod's address in it counts like any other.
func block(side string, of *networkingv1.IPBlock) []string {
	if strings.Contains(of.CIDR, ":") {
		return nil
	}
	match := fmt.Sprintf("ip %s %s", side, of.CIDR)
	for _, except := range of.Except {
		match += fmt.Sprintf(" ip %s != %s", side, except)
	}
	return []string{match}
}

func (c *cluster) matches(peer networkingv1.NetworkPolicyPeer, own string, pod *corev1.Pod) bool {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != own {
			return false
		}
	} else if found, err := c.namespaces.Get(pod.Namespace); err != nil || !selects(peer.NamespaceSelector, found.Labels) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)
}

// ports writes one match for each port; no ports at all means any. A name that pod does not have matches nothing.
func ports(wanted []networkingv1.NetworkPolicyPort, pod *corev1.Pod) []string {
	if len(wanted) == 0 {
		return []string{""}
	}
	var matches []string
	for _, port := range wanted {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		match := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			matches = append(matches, "meta l4proto "+match)
		case port.Port.StrVal != "":
			for _, number := range numbers(pod, port.Port.StrVal, protocol) {
				matches = append(matches, fmt.Sprintf("%s dport %d", match, number))
			}
		case port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s dport %d-%d", match, port.Port.IntVal, *port.EndPort))
		default:
			matches = append(matches, fmt.Sprintf("%s dport %d", match, port.Port.IntVal))
		}
	}
	return matches
}

// numbers looks a port's name up among the pod's containers.
func numbers(pod *corev1.Pod, name string, protocol corev1.Protocol) []int32 {
	var found []int32
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == corev1.ProtocolTCP) {
				found = append(found, port.ContainerPort)
			}
		}
	}
	return found
}
