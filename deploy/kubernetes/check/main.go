// Check decodes the manifests in a directory into the types of Kubernetes' own API. A field that isn't there, a value of another type or a
// kind that isn't known is an error. What refers to something by name or label within a file is followed.
//
// It is a module of its own, so that the program's dependencies stay few.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kinds makes an empty object of each kind.
var kinds = map[string]func() any{
	"v1 ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1 Secret":                              func() any { return &corev1.Secret{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"v1 ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
}

func main() {
	names, _ := filepath.Glob(filepath.Join(os.Args[1], "*.yaml"))
	if len(names) == 0 {
		fmt.Fprintln(os.Stderr, "there are no manifests in", os.Args[1])
		os.Exit(2)
	}
	code := 0
	for _, name := range names {
		n, err := check(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			code = 1
			continue
		}
		fmt.Printf("%s: %d objects\n", name, n)
	}
	os.Exit(code)
}

var between = regexp.MustCompile(`(?m)^---\n`)

func check(name string) (n int, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	named := map[string]bool{}
	var deployments []*appsv1.Deployment
	var services []*corev1.Service
	for _, part := range between.Split(string(text), -1) {
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(part), &head); err != nil {
			return n, err
		}
		kind := head.APIVersion + " " + head.Kind
		make, ok := kinds[kind]
		if !ok {
			return n, fmt.Errorf("object %d is of an unknown kind %q", n+1, kind)
		}
		object := make()
		if err := yaml.UnmarshalStrict([]byte(part), object); err != nil {
			return n, fmt.Errorf("%s %s: %w", kind, head.Name, err)
		}
		named[head.Kind+" "+head.Name] = true
		switch object := object.(type) {
		case *appsv1.Deployment:
			deployments = append(deployments, object)
		case *corev1.Service:
			services = append(services, object)
		}
		n++
	}
	for _, d := range deployments {
		err = errors.Join(err, follow(d, named))
		for _, s := range services {
			if !within(s.Spec.Selector, d.Spec.Template.Labels) {
				err = errors.Join(err, fmt.Errorf("service %s selects no pod of %s", s.Name, d.Name))
			}
		}
	}
	return n, err
}

// follow looks whether what a deployment refers to is there.
func follow(d *appsv1.Deployment, named map[string]bool) (err error) {
	pod := d.Spec.Template.Spec
	if !within(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
		err = errors.Join(err, fmt.Errorf("%s does not select its own pods", d.Name))
	}
	if pod.ServiceAccountName != "" && !named["ServiceAccount "+pod.ServiceAccountName] {
		err = errors.Join(err, fmt.Errorf("there is no service account %s", pod.ServiceAccountName))
	}
	var volumes []string
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
		if v.ConfigMap != nil && !named["ConfigMap "+v.ConfigMap.Name] || v.Secret != nil && !named["Secret "+v.Secret.SecretName] {
			err = errors.Join(err, fmt.Errorf("volume %s holds what is not there", v.Name))
		}
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		var ports []string
		for _, p := range c.Ports {
			ports = append(ports, p.Name)
		}
		for _, m := range c.VolumeMounts {
			if !slices.Contains(volumes, m.Name) {
				err = errors.Join(err, fmt.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name))
			}
		}
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if p != nil && p.HTTPGet != nil && !slices.Contains(ports, p.HTTPGet.Port.StrVal) {
				err = errors.Join(err, fmt.Errorf("container %s is probed at %s, which is no port of it", c.Name, p.HTTPGet.Port.String()))
			}
		}
	}
	return err
}

// within reports whether all labels of a selector are there.
func within(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}
