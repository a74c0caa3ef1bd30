package edrwatch.testbed;

import static org.elasticsearch.rest.RestRequest.Method.DELETE;
import static org.elasticsearch.rest.RestRequest.Method.GET;
import static org.elasticsearch.rest.RestRequest.Method.PUT;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;

import org.elasticsearch.ResourceNotFoundException;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.support.master.AcknowledgedResponse;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.ClusterStateUpdateTask;
import org.elasticsearch.cluster.metadata.Metadata;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.RestUtils;
import org.elasticsearch.rest.action.RestToXContentListener;
import org.elasticsearch.xcontent.ToXContent;
import org.elasticsearch.xcontent.XContentBuilder;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xpack.core.ilm.IndexLifecycleMetadata;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicy;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicyMetadata;
import org.elasticsearch.xpack.core.ilm.action.PutLifecycleRequest;

/**
 * Keeps lifecycle policies in the cluster state, parsed and validated by
 * Elastic's own {@link LifecyclePolicy}. Nothing runs them.
 */
@SuppressWarnings("deprecation") // The one-task-at-a-time queue is the simple way to change cluster state.
final class RestLifecyclePolicy extends BaseRestHandler {
    private final ClusterService cluster;

    RestLifecyclePolicy(ClusterService cluster) {
        this.cluster = cluster;
    }

    @Override
    public String getName() {
        return "edrwatch_testbed_lifecycle_policy";
    }

    @Override
    public List<Route> routes() {
        return List.of(
            new Route(GET, "/_ilm/policy"),
            new Route(GET, "/_ilm/policy/{name}"),
            new Route(PUT, "/_ilm/policy/{name}"),
            new Route(DELETE, "/_ilm/policy/{name}")
        );
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) throws IOException {
        String name = request.param("name");
        return switch (request.method()) {
            case PUT -> {
                LifecyclePolicy policy = parse(request, name);
                yield channel -> update("put policy", policies -> {
                    LifecyclePolicyMetadata old = policies.get(name);
                    long version = old == null ? 1 : old.getVersion() + 1;
                    policies.put(name, new LifecyclePolicyMetadata(policy, Map.of(), version, System.currentTimeMillis()));
                }, new RestToXContentListener<>(channel));
            }
            case DELETE -> channel -> update("delete policy", policies -> {
                if (policies.remove(name) == null) {
                    throw new ResourceNotFoundException("Lifecycle policy not found: {}", name);
                }
            }, new RestToXContentListener<>(channel));
            default -> channel -> {
                var policies = policies(cluster.state()).getPolicyMetadatas();
                if (name != null && policies.containsKey(name) == false) {
                    throw new ResourceNotFoundException("Lifecycle policy not found: {}", name);
                }
                try (XContentBuilder body = channel.newBuilder()) {
                    body.startObject();
                    for (var policy : policies.entrySet()) {
                        if (name == null || policy.getKey().equals(name)) {
                            body.startObject(policy.getKey());
                            body.field("version", policy.getValue().getVersion());
                            body.field("modified_date", policy.getValue().getModifiedDateString());
                            body.field("policy");
                            policy.getValue().getPolicy().toXContent(body, ToXContent.EMPTY_PARAMS);
                            body.endObject();
                        }
                    }
                    body.endObject();
                    channel.sendResponse(new RestResponse(RestStatus.OK, body));
                }
            };
        };
    }

    private static LifecyclePolicy parse(RestRequest request, String name) throws IOException {
        LifecyclePolicy.validatePolicyName(name);
        PutLifecycleRequest.Factory factory = new PutLifecycleRequest.Factory() {
            @Override
            public PutLifecycleRequest create(LifecyclePolicy policy) {
                return new PutLifecycleRequest(RestUtils.getMasterNodeTimeout(request), RestUtils.getAckTimeout(request), policy);
            }

            @Override
            public String getPolicyName() {
                return name;
            }
        };
        try (XContentParser parser = request.contentParser()) {
            PutLifecycleRequest put = PutLifecycleRequest.parseRequest(factory, parser);
            var invalid = put.validate();
            if (invalid != null) {
                throw invalid;
            }
            return put.getPolicy();
        }
    }

    private static IndexLifecycleMetadata policies(ClusterState state) {
        return state.metadata().custom(IndexLifecycleMetadata.TYPE, IndexLifecycleMetadata.EMPTY);
    }

    private void update(
        String what,
        Consumer<SortedMap<String, LifecyclePolicyMetadata>> change,
        ActionListener<AcknowledgedResponse> done
    ) {
        cluster.submitUnbatchedStateUpdateTask(what, new ClusterStateUpdateTask() {
            @Override
            public ClusterState execute(ClusterState state) {
                IndexLifecycleMetadata old = policies(state);
                SortedMap<String, LifecyclePolicyMetadata> next = new TreeMap<>(old.getPolicyMetadatas());
                change.accept(next);
                var custom = new IndexLifecycleMetadata(next, old.getOperationMode());
                return ClusterState.builder(state)
                    .metadata(Metadata.builder(state.metadata()).putCustom(IndexLifecycleMetadata.TYPE, custom))
                    .build();
            }

            @Override
            public void clusterStateProcessed(ClusterState before, ClusterState after) {
                done.onResponse(AcknowledgedResponse.TRUE);
            }

            @Override
            public void onFailure(Exception e) {
                done.onFailure(e);
            }
        });
    }
}
