// A peer for benchmarks: controller-runtime with the same reconcilers as the other peers of this folder.
//
//	peer MODE COUNT
//
// connects by KUBECONFIG and prints one JSON object per line: {"at":"synced"}, then {"at":"done",...}. Seconds are of the
// wall clock. Client-side rate limits are off and logs are discarded, as the other peers have neither.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const workers = 10

var (
	configMap = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	source    = schema.GroupVersionKind{Group: "bench.capt.dev", Version: "v1", Kind: "Source"}
	mirror    = schema.GroupVersionKind{Group: "bench.capt.dev", Version: "v1", Kind: "Mirror"}
)

func main() {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	count, err := strconv.Atoi(os.Args[2])
	must(err)
	switch os.Args[1] {
	case "cache":
		run(configMap, count, nil)
	case "ingest":
		ingest(count)
	case "noop":
		noop(count)
	case "read":
		read(count)
	case "latency":
		latency(count)
	case "mirror":
		mirrors(count)
	case "queue":
		queue(count)
	default:
		must(fmt.Errorf("no mode %q", os.Args[1]))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(fields map[string]any) {
	must(json.NewEncoder(os.Stdout).Encode(fields))
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// span measures from its first step to its last; the first may come from any goroutine.
type span struct {
	once  sync.Once
	begun time.Time
	cpu   float64
	seen  atomic.Int64
	goal  int64
}

func (s *span) step() {
	s.once.Do(func() { s.begun, s.cpu = time.Now(), cpuSeconds() })
	if s.seen.Add(1) == s.goal {
		say(map[string]any{"at": "done", "count": s.goal, "seconds": time.Since(s.begun).Seconds(), "cpu": cpuSeconds() - s.cpu})
	}
}

func object(kind schema.GroupVersionKind) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	return obj
}

func manager() ctrl.Manager {
	config := ctrl.GetConfigOrDie()
	config.QPS = -1
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: server.Options{BindAddress: "0"},
		Client:  client.Options{Cache: &client.CacheOptions{Unstructured: true}},
	})
	must(err)
	return mgr
}

// start runs the manager until the process is killed, and says when the cache of a kind is full and its garbage is gone.
func start(mgr ctrl.Manager, kind schema.GroupVersionKind) {
	go func() {
		informer, err := mgr.GetCache().GetInformer(context.Background(), object(kind))
		must(err)
		if !toolscache.WaitForCacheSync(context.Background().Done(), informer.HasSynced) {
			must(fmt.Errorf("%s: no sync", kind.Kind))
		}
		debug.FreeOSMemory()
		say(map[string]any{"at": "synced"})
	}()
	must(mgr.Start(context.Background()))
}

func run(kind schema.GroupVersionKind, _ int, reconciler func(ctrl.Manager) func(context.Context, ctrl.Request) error) {
	mgr := manager()
	if reconciler != nil {
		reconcile := reconciler(mgr)
		must(ctrl.NewControllerManagedBy(mgr).
			For(object(kind)).
			WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
			Complete(reconcilerFunc(reconcile)))
	}
	start(mgr, kind)
}

type reconcilerFunc func(context.Context, ctrl.Request) error

func (f reconcilerFunc) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, f(ctx, request)
}

func ingest(count int) {
	mgr := manager()
	informer, err := mgr.GetCache().GetInformer(context.Background(), object(configMap))
	must(err)
	all := &span{goal: int64(count)}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(_, _ any) { all.step() }})
	must(err)
	start(mgr, configMap)
}

func noop(count int) {
	all := &span{goal: int64(count)}
	run(configMap, count, func(ctrl.Manager) func(context.Context, ctrl.Request) error {
		return func(context.Context, ctrl.Request) error {
			all.step()
			return nil
		}
	})
}

func read(count int) {
	all := &span{goal: int64(count)}
	run(configMap, count, func(mgr ctrl.Manager) func(context.Context, ctrl.Request) error {
		return func(ctx context.Context, request ctrl.Request) error {
			err := mgr.GetClient().Get(ctx, request.NamespacedName, object(configMap))
			all.step()
			return err
		}
	})
}

func latency(count int) {
	var lock sync.Mutex
	var waited []float64
	last := ""
	run(configMap, count, func(mgr ctrl.Manager) func(context.Context, ctrl.Request) error {
		return func(ctx context.Context, request ctrl.Request) error {
			now := time.Now().UnixNano()
			if request.Name != "c0" {
				return nil
			}
			obj := object(configMap)
			if err := mgr.GetClient().Get(ctx, request.NamespacedName, obj); err != nil {
				return err
			}
			sent, _, _ := unstructured.NestedString(obj.Object, "data", "sent")
			lock.Lock()
			defer lock.Unlock()
			if sent == "0" || sent == last {
				return nil
			}
			last = sent
			at, err := strconv.ParseInt(sent, 10, 64)
			must(err)
			waited = append(waited, float64(now-at)/1e9)
			if len(waited) == count {
				slices.Sort(waited)
				say(map[string]any{"at": "done", "p50": waited[count/2], "p99": waited[count*99/100]})
			}
			return nil
		}
	})
}

func mirrors(count int) {
	all := &span{goal: int64(count)}
	run(source, count, func(mgr ctrl.Manager) func(context.Context, ctrl.Request) error {
		_, err := mgr.GetCache().GetInformer(context.Background(), object(mirror))
		must(err)
		c := mgr.GetClient()
		return func(ctx context.Context, request ctrl.Request) error {
			from := object(source)
			if err := c.Get(ctx, request.NamespacedName, from); err != nil {
				return err
			}
			if done, _, _ := unstructured.NestedInt64(from.Object, "status", "observedGeneration"); done == from.GetGeneration() {
				return nil
			}
			err := c.Get(ctx, types.NamespacedName(request.NamespacedName), object(mirror))
			if apierrors.IsNotFound(err) {
				to := object(mirror)
				to.SetName(from.GetName())
				to.SetNamespace(from.GetNamespace())
				to.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(from, source)})
				to.Object["spec"] = from.Object["spec"]
				err = c.Create(ctx, to)
			}
			if err != nil {
				return err
			}
			patch := fmt.Sprintf(`{"status":{"observedGeneration":%d}}`, from.GetGeneration())
			if err := c.Status().Patch(ctx, from, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
				return err
			}
			all.step()
			return nil
		}
	})
}

func queue(count int) {
	keys := make([]ctrl.Request, count)
	for number := range keys {
		keys[number] = ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("c%d", number)}}
	}
	q := priorityqueue.New[ctrl.Request]("bench")
	runtime.GC()
	all := &span{goal: int64(count)}
	all.once.Do(func() { all.begun, all.cpu = time.Now(), cpuSeconds() })
	for _, key := range keys {
		q.Add(key)
	}
	for range keys {
		key, _ := q.Get()
		q.Done(key)
		all.step()
	}
}
