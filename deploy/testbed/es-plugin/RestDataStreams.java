package edrwatch.testbed;

import static org.elasticsearch.rest.RestRequest.Method.GET;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.elasticsearch.action.datastreams.GetDataStreamAction;
import org.elasticsearch.action.support.IndicesOptions;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.health.ClusterStateHealth;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.metadata.MetadataIndexTemplateService;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.Strings;
import org.elasticsearch.index.Index;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.action.RestToXContentListener;
import org.elasticsearch.xpack.core.ilm.LifecycleSettings;

/** Answers {@code GET _data_stream[/name]} out of the cluster state, in Elasticsearch's own response type. */
final class RestDataStreams extends BaseRestHandler {
    private final ClusterService cluster;
    private final IndexNameExpressionResolver names;

    RestDataStreams(ClusterService cluster, IndexNameExpressionResolver names) {
        this.cluster = cluster;
        this.names = names;
    }

    @Override
    public String getName() {
        return "edrwatch_testbed_data_streams";
    }

    @Override
    public List<Route> routes() {
        return List.of(new Route(GET, "/_data_stream"), new Route(GET, "/_data_stream/{name}"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        String[] wanted = Strings.splitStringByCommaToArray(request.param("name", "*"));
        return channel -> {
            ClusterState state = cluster.state();
            List<GetDataStreamAction.Response.DataStreamInfo> found = new ArrayList<>();
            for (String name : names.dataStreamNames(state, IndicesOptions.strictExpandOpenAndForbidClosed(), wanted)) {
                found.add(info(state, state.metadata().dataStreams().get(name)));
            }
            new RestToXContentListener<GetDataStreamAction.Response>(channel).onResponse(new GetDataStreamAction.Response(found));
        };
    }

    private static GetDataStreamAction.Response.DataStreamInfo info(ClusterState state, DataStream stream) {
        String template = MetadataIndexTemplateService.findV2Template(state.metadata(), stream.getName(), false);
        var settings = template == null ? null : MetadataIndexTemplateService.resolveSettings(state.metadata(), template);
        String policy = settings == null ? null : settings.get(LifecycleSettings.LIFECYCLE_NAME);
        Map<Index, GetDataStreamAction.Response.IndexProperties> indices = new java.util.HashMap<>();
        for (Index index : stream.getIndices()) {
            var own = state.metadata().index(index).getSettings();
            String ownPolicy = own.get(LifecycleSettings.LIFECYCLE_NAME);
            indices.put(
                index,
                new GetDataStreamAction.Response.IndexProperties(
                    IndexSettings.PREFER_ILM_SETTING.get(own),
                    ownPolicy,
                    ownPolicy != null
                        ? GetDataStreamAction.Response.ManagedBy.ILM
                        : stream.getDataLifecycle() != null
                            ? GetDataStreamAction.Response.ManagedBy.LIFECYCLE
                            : GetDataStreamAction.Response.ManagedBy.UNMANAGED,
                    IndexSettings.MODE.get(own).getName()
                )
            );
        }
        String[] backing = stream.getIndices().stream().map(Index::getName).toArray(String[]::new);
        return new GetDataStreamAction.Response.DataStreamInfo(
            stream,
            false,
            new ClusterStateHealth(state, backing).getStatus(),
            template,
            policy,
            null,
            indices,
            settings == null || IndexSettings.PREFER_ILM_SETTING.get(settings),
            null,
            stream.getIndexMode() == null ? null : stream.getIndexMode().getName()
        );
    }
}
