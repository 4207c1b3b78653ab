"""Small `.tflite` models, written table by table: no TensorFlow is needed."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

OPS, TYPES, OPTIONS = schema.BuiltinOperator, schema.TensorType, schema.BuiltinOptions
_TYPE_OF = {"float32": TYPES.FLOAT32, "int32": TYPES.INT32, "int8": TYPES.INT8, "float16": TYPES.FLOAT16}


class Model:
    """A graph being written."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.codes, self.buffers = [], [schema.BufferT()]
        self.graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=b"main")
        self.more_graphs = []
        self.signatures = []

    def tensor(self, name, shape, data=None, dtype="float32", **fields):
        tensor = schema.TensorT(shape=list(shape), type=_TYPE_OF.get(dtype, dtype), buffer=0, **fields)
        tensor.name = name.encode() if isinstance(name, str) else name
        if data is not None:
            tensor.buffer = self.buffer(data)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def buffer(self, data):
        self.buffers.append(schema.BufferT(data=np.frombuffer(np.asarray(data).tobytes(), np.uint8)))
        return len(self.buffers) - 1

    def input(self, name, shape, dtype="float32", **fields):
        self.graph.inputs.append(self.tensor(name, shape, None, dtype, **fields))
        return self.graph.inputs[-1]

    def weight(self, name, shape, scale=0.5):
        return self.tensor(name, shape, (self.rng.normal(size=shape) * scale).astype(np.float32))

    def op(self, code, inputs, outputs, options=None, custom=None):
        operator = schema.OperatorT(inputs=list(inputs), outputs=list(outputs))
        operator.opcodeIndex = self.code(code, custom)
        if options is not None:
            operator.builtinOptionsType = getattr(OPTIONS, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self.graph.operators.append(operator)
        return outputs[0] if outputs else None

    def code(self, code, custom=None):
        entry = schema.OperatorCodeT(
            deprecatedBuiltinCode=min(code, 127), builtinCode=code, customCode=custom, version=1
        )
        self.codes.append(entry)
        return len(self.codes) - 1

    def shape(self, tensor):
        return list(self.graph.tensors[tensor].shape)

    def conv(self, source, name, channels, kernel=1, weights=None, relu=True):
        batch, high, wide, depth = self.shape(source)
        if weights is None:
            weights = self.weight(f"{name}/w", (channels, kernel, kernel, depth))
        bias = self.weight(f"{name}/b", (channels,))
        options = schema.Conv2DOptionsT(strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
        options.fusedActivationFunction = int(relu)
        output = self.tensor(name, (batch, high, wide, channels))
        return self.op(OPS.CONV_2D, [source, weights, bias], [output], options)

    def depthwise(self, source, name):
        shape = self.shape(source)
        inputs = [
            source,
            self.weight(f"{name}/w", (1, 3, 3, shape[3])),
            self.weight(f"{name}/b", (shape[3],)),
        ]
        options = schema.DepthwiseConv2DOptionsT(
            strideH=1, strideW=1, depthMultiplier=1, dilationHFactor=1, dilationWFactor=1
        )
        return self.op(OPS.DEPTHWISE_CONV_2D, inputs, [self.tensor(name, shape)], options)

    def add(self, one, other, name):
        return self.op(OPS.ADD, [one, other], [self.tensor(name, self.shape(one))], schema.AddOptionsT())

    def concat(self, sources, name):
        first = self.shape(sources[0])
        shape = [*first[:-1], sum(self.shape(source)[-1] for source in sources)]
        return self.op(
            OPS.CONCATENATION,
            sources,
            [self.tensor(name, shape)],
            schema.ConcatenationOptionsT(axis=len(shape) - 1),
        )

    def unary(self, code, source, name, options=None):
        return self.op(code, [source], [self.tensor(name, self.shape(source))], options)

    def softmax(self, source, name):
        return self.unary(OPS.SOFTMAX, source, name, schema.SoftmaxOptionsT(beta=1.0))

    def mean(self, source, name):
        shape = self.shape(source)
        axes = self.tensor(f"{name}/axes", (2,), np.array([1, 2], np.int32), "int32")
        output = self.tensor(name, (shape[0], shape[3]))
        return self.op(OPS.MEAN, [source, axes], [output], schema.ReducerOptionsT(keepDims=False))

    def max_pool(self, source, name):
        batch, high, wide, depth = self.shape(source)
        options = schema.Pool2DOptionsT(strideH=2, strideW=2, filterHeight=2, filterWidth=2, padding=1)
        output = self.tensor(name, (batch, high // 2, wide // 2, depth))
        return self.op(OPS.MAX_POOL_2D, [source], [output], options)

    def dense(self, source, name, units, bias=True):
        shape = self.shape(source)
        inputs = [source, self.weight(f"{name}/w", (units, shape[1])), -1]
        if bias:
            inputs[2] = self.weight(f"{name}/b", (units,))
        output = self.tensor(name, (shape[0], units))
        return self.op(OPS.FULLY_CONNECTED, inputs, [output], schema.FullyConnectedOptionsT())

    def split(self, source, names):
        shape = self.shape(source)
        axis = self.tensor(f"{names[0]}/axis", (), np.int32(len(shape) - 1), "int32")
        part = [*shape[:-1], shape[-1] // len(names)]
        outputs = [self.tensor(name, part) for name in names]
        self.op(OPS.SPLIT, [axis, source], outputs, schema.SplitOptionsT(numSplits=len(names)))
        return outputs

    def sign(self, inputs, outputs, key="serving_default", graph=0):
        """Add a signature: key -> tensor."""
        signature = schema.SignatureDefT(signatureKey=key.encode(), subgraphIndex=graph)
        signature.inputs = [schema.TensorMapT(name=n.encode(), tensorIndex=t) for n, t in inputs.items()]
        signature.outputs = [schema.TensorMapT(name=n.encode(), tensorIndex=t) for n, t in outputs.items()]
        self.signatures.append(signature)
        return self

    def give(self, *outputs):
        self.graph.outputs = list(outputs)
        return self

    def tables(self):
        return schema.ModelT(
            version=3,
            subgraphs=[self.graph, *self.more_graphs],
            operatorCodes=self.codes,
            buffers=self.buffers,
            signatureDefs=self.signatures or None,
        )

    def content(self):
        return packed(self.tables())


def packed(tables):
    builder = flatbuffers.Builder(1024)
    builder.Finish(tables.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def branching(seed=0):
    """Return a model with branches, a residual, several outputs, one of them read on, one read twice."""
    model = Model(seed)
    image, meta = model.input("image", (1, 6, 6, 4)), model.input("meta", (1, 3))
    stem = model.conv(image, "stem", 8, 3)
    left = model.depthwise(stem, "left")
    right = model.conv(stem, "right", 8)
    joined = model.add(left, right, "joined")
    one, other = model.split(joined, ("one", "other"))
    wide = model.concat([other, stem, one], "wide")
    pooled = model.mean(wide, "pooled")
    both = model.concat([pooled, meta], "both")
    logits = model.dense(both, "logits", 5, bias=False)
    chances = model.softmax(logits, "chances")
    return model.give(logits, chances, joined)


def oddly_named():
    """Return a model whose tensors' names contain each other, repeat, and mean something to patterns."""
    model = Model(1)
    flow = model.input("serving_default_a:0", (1, 4, 4, 4))
    names = (
        "a",
        "a_1",
        "a;a_1",
        "StatefulPartitionedCall:0",
        ".*",
        "a",
        "[(",
        "",
        "StatefulPartitionedCall:01",
        "$^",
    )
    for name in names:
        flow = model.conv(flow, name, 4, relu=False)
    return model.give(flow).sign({"a": 0}, {"a": flow})


def random_graph(seed):
    """Return a model of random operators, each on what any earlier ones gave."""
    model = Model(seed)
    flows = [model.input("image", (1, 4, 4, 4))]
    for number in range(9):
        name, source = f"n{number}", flows[int(model.rng.integers(len(flows)))]
        kind = model.rng.choice(["conv", "depthwise", "add", "concat", "split", "relu", "logistic"])
        if kind == "conv":
            flows.append(model.conv(source, name, 4))
        elif kind == "depthwise":
            flows.append(model.depthwise(source, name))
        elif kind == "add":
            alike = [flow for flow in flows if model.shape(flow) == model.shape(source)]
            flows.append(model.add(source, alike[int(model.rng.integers(len(alike)))], name))
        elif kind == "concat":
            flows.append(model.concat([source, flows[int(model.rng.integers(len(flows)))]], name))
        elif kind == "split" and model.shape(source)[-1] > 1:
            flows += model.split(source, (f"{name}a", f"{name}b"))
        else:
            flows.append(model.unary(OPS.RELU if kind == "relu" else OPS.LOGISTIC, source, name))
    read = {t for op in model.graph.operators for t in op.inputs}
    ends = [flow for flow in flows if flow not in read]
    return model.give(*dict.fromkeys([*ends, *model.rng.choice(flows[1:], 1).tolist()]))


def read_on_two_scales():
    """Return a model in which CONCATENATION wants the integers of `stem` on another scale than RELU does."""
    model = Model()
    fed = model.input("image", (1, 4, 4, 4))
    stem = model.depthwise(fed, "stem")
    wide = model.conv(fed, "wide", 4, relu=False)
    return model.give(model.concat([stem, wide], "both"), model.unary(OPS.RELU, stem, "positive"))


def quantized_behind_a_reader():
    """Return a model whose `inner` a float operator reads before the one for which it is quantized."""
    model = Model()
    fed = model.input("image", (1, 4, 4, 4))
    inner = model.unary(OPS.NEG, fed, "inner", schema.NegOptionsT())
    return model.give(model.conv(inner, "float", 4, relu=False), model.unary(OPS.RELU, inner, "positive"))


def cancelling():
    """Return a model with a sum that is always 0: in int8 it ends the process (ai-edge-litert 2.3)."""
    model = Model()
    fed = model.input("x", (1, 4))
    less = model.unary(OPS.NEG, fed, "less", schema.NegOptionsT())
    return model.give(model.dense(model.add(fed, less, "nothing"), "y", 4), model.dense(fed, "z", 4))


def of_tensorflow():
    """Return a model with an operator of TensorFlow, which needs the Flex delegate."""
    model = Model()
    fed = model.input("x", (1, 4))
    model.op(OPS.CUSTOM, [fed], [model.tensor("y", (1, 4))], custom=b"FlexDet")
    return model.give(1)


def partly_quantized():
    """Return a model that rounds what it is fed to int8 and back by itself, before a float CONV_2D."""
    model = Model()
    grid = schema.QuantizationParametersT(scale=[0.03], zeroPoint=[4])
    fed = model.input("image", (1, 4, 4, 4))
    there = model.tensor("integers", (1, 4, 4, 4), dtype="int8", quantization=grid)
    model.op(OPS.QUANTIZE, [fed], [there])
    back = model.op(OPS.DEQUANTIZE, [there], [model.tensor("floats", (1, 4, 4, 4))])
    return model.give(model.conv(back, "conv", 4))


def variables():
    """Return a model that adds what it is fed to a variable, set at first by a graph of its own."""
    model = Model()
    fed = model.input("x", (1, 4))
    resource = schema.VarHandleOptionsT(container=b"", sharedName=b"v")
    setting = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=b"setting")
    main, model.graph = model.graph, setting
    start = model.tensor("start", (1, 4), np.full((1, 4), 2, np.float32))
    handle = model.op(OPS.VAR_HANDLE, [], [model.tensor("there", (), dtype=TYPES.RESOURCE)], resource)
    model.op(OPS.ASSIGN_VARIABLE, [handle, start], [], schema.AssignVariableOptionsT())
    model.graph = main
    model.more_graphs = [setting]
    model.op(OPS.CALL_ONCE, [], [], schema.CallOnceOptionsT(initSubgraphIndex=1))
    handle = model.op(OPS.VAR_HANDLE, [], [model.tensor("v", (), dtype=TYPES.RESOURCE)], resource)
    read = model.op(
        OPS.READ_VARIABLE, [handle], [model.tensor("read", (1, 4))], schema.ReadVariableOptionsT()
    )
    total = model.add(fed, read, "total")
    model.op(OPS.ASSIGN_VARIABLE, [handle, total], [], schema.AssignVariableOptionsT())
    return model.give(model.softmax(total, "chances"))


def feeds(model, seed=0):
    """Return a sample for a loaded model."""
    rng = np.random.default_rng(seed)
    return {
        key: rng.normal(size=model.shape(tensor)).astype(model.element_type(tensor).numpy)
        for key, tensor in model.inputs.items()
    }


def run_file(content, given):
    """Return what the runtime itself computes from a file, outputs in the graph's order."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for details, value in zip(interpreter.get_input_details(), given, strict=True):
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]
