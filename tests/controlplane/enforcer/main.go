// Command enforcer enforces networking.k8s.io/v1 NetworkPolicy on the single node of the end-to-end tests.
//
// It stands in for the policy engine of a network plugin. The whole rule set is rendered from what is watched, loaded
// into nftables in one transaction, and then shown in a file, so that a test can wait for the rules of what it wrote.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	gather = 50 * time.Millisecond // a burst of changes becomes one rule set
	retry  = time.Second           // after nft refused
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	loaded := flag.String("loaded", "", "file that holds the rule set in force")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	state := &cluster{
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
	}
	changed := make(chan struct{}, 1)
	mark := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { mark() },
		UpdateFunc: func(_, _ any) { mark() },
		DeleteFunc: func(any) { mark() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatal(err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	mark()
	follow(ctx, state, changed, mark, *loaded)
}

// follow loads the rules anew after every change of what they are made of, until ctx ends.
func follow(ctx context.Context, state *cluster, changed <-chan struct{}, mark func(), loaded string) {
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			time.Sleep(gather)
		}
		rules, err := state.render()
		if err != nil {
			log.Printf("render: %v", err)
			continue
		}
		if rules == last {
			continue
		}
		if err := load(rules); err != nil {
			log.Printf("nft: %v\n%s", err, rules)
			time.AfterFunc(retry, mark)
			continue
		}
		last = rules
		if err := publish(loaded, rules); err != nil {
			log.Fatal(err)
		}
	}
}

// load puts the rules in force, all of them or none.
func load(rules string) error {
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	return command.Run()
}

// publish shows what is in force, complete or not at all.
func publish(path, rules string) error {
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, []byte(rules), 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}
