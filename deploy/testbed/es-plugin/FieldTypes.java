package edrwatch.testbed;

import java.util.Map;

import org.elasticsearch.index.mapper.KeywordFieldMapper;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.MapperParsingException;
import org.elasticsearch.index.mapper.NumberFieldMapper.NumberType;
import org.elasticsearch.index.mapper.TextFieldMapper;

/**
 * Field types whose modules the integ-test-zip lacks, each parsed as the nearest
 * type that it has. GET _mapping therefore answers the near relative's name.
 */
final class FieldTypes {
    /** UTF-8 needs at most four bytes a character and Lucene takes no term beyond 32,766 bytes. */
    private static final int LONGEST_KEYWORD = 32_766 / 4;

    private FieldTypes() {}

    static Map<String, Mapper.TypeParser> aliases() {
        return Map.of(
            "constant_keyword",
            (name, node, context) -> {
                node.remove("value");
                return KeywordFieldMapper.PARSER.parse(name, node, context);
            },
            "wildcard",
            (name, node, context) -> {
                // A wildcard field takes values of any length; a keyword only when told to ignore long ones.
                node.putIfAbsent("ignore_above", LONGEST_KEYWORD);
                return KeywordFieldMapper.PARSER.parse(name, node, context);
            },
            "version",
            KeywordFieldMapper.PARSER,
            "match_only_text",
            TextFieldMapper.PARSER,
            "scaled_float",
            (name, node, context) -> {
                if (node.remove("scaling_factor") == null) {
                    throw new MapperParsingException("Field [" + name + "] misses required parameter [scaling_factor]");
                }
                return NumberType.DOUBLE.parser().parse(name, node, context);
            },
            "unsigned_long",
            NumberType.DOUBLE.parser()
        );
    }
}
