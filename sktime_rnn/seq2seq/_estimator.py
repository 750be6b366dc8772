"""Seq2SeqTransformer: its parameters."""

from numbers import Integral, Real

from sktime_rnn.attention import ATTENTIONS
from sktime_rnn.base import BaseSequenceRNN, Interval, StrOptions
from sktime_rnn.callbacks import FORCING_SCHEDULES
from sktime_rnn.heads import POINT_LOSSES
from sktime_rnn.seq2seq._methods import Seq2SeqMethods


class Seq2SeqTransformer(Seq2SeqMethods):
    r"""Recurrent encoder-decoder: sequences become sequences of another kind and length.

    The recurrent kind, as a scikit-learn transformer; not the network of attention alone that is called Transformer.

    .. math::
        h_j &= \operatorname{cell}(x_j, h_{j-1}), \quad C = h_L, \quad s_0 = \tanh(W_0 C + b_0) \\
        s_t &= \operatorname{cell}(y_{t-1}, s_{t-1}), \quad
        c_t = \sum_j \alpha_{tj} h_j, \quad \alpha_t = \operatorname{softmax}_j(\operatorname{score}(s_t, h_j)) \\
        r_t &= \tanh(W_r [s_t; c_t] + b_r), \quad P(y_t) = \operatorname{softmax}(W r_t + b)

    with input steps x_j (n_features,), encoder states h_j, context vector C, decoder states s_t (hidden_size,) and
    outputs y_t: symbols, or values, which are W r_t + b. y decides which: texts and tokens are symbols, numbers are
    values. It comes back as it came: texts as texts, lists of tokens as lists, arrays as arrays.

    Parameters
    ----------
    cell : str, None, Cell or Layers, default="gru"
        The recurrence of encoder and decoder: "lstm", "gru", "rnn" (or "elman"), "mgu", "mingru", "minlstm", "leaky",
        "clockwork", "irnn" or "grud", whose decoder is a GRU; or a cell of :mod:`sktime_rnn.cells` with options of its
        own, as a class or an instance. "trace" and None, which start from no state, can do with ``alignment="ctc"``
        alone. Connections of
        :class:`~sktime_rnn.layers.Layers` are those of the encoder; the decoder's layers are plain ones of their cell.
    hidden_size : int, default=128
        Number of hidden units of each layer, and of each direction of the encoder.
    num_layers : int, default=1
        Number of recurrent layers, in the encoder and in the decoder.
    bidirectional : bool, default=True
        Whether the encoder reads in both directions.
    bias : bool, default=True
        Whether the recurrent equations have bias terms.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        Nonlinearity of a cell that has one, such as "rnn", asked for by name; a callable maps a tensor to another.
        "tanh" leaves every cell the one that it has by default, "mingru" and "minlstm" the identity.
    go_backwards : bool, default=False
        Whether the encoder reads from the last step to the first.
    initial_state : {"zeros", "learned"}, default="zeros"
        The encoder's state before the first step that it reads.
    attention : {"auto", "additive", "dot", "general"} or None, default="auto"
        How the decoder scores input steps: :class:`~sktime_rnn.attention.AdditiveAttention`,
        :class:`~sktime_rnn.attention.DotAttention`, :class:`~sktime_rnn.attention.GeneralAttention`; None for the
        context vector alone. "auto" is "additive" for symbols and "general" for values, and None where inputs are
        vectors or ``output="encoding"``.
    input_feeding : bool, default=False
        Whether the decoder reads what was read out at the step before, r_{t-1}; slower, since nothing of a sequence can
        then be computed at once.
    context : {"auto", "state", "steps", "both"}, default="auto"
        Where C enters the decoder: as first state, as a part of every step's input, or both. "auto" is "state" with
        attention, otherwise "both".
    n_components : int, default=None
        Size of C, then tanh(W h_L + b); None leaves h_L itself.
    output : {"sequence", "encoding"}, default="sequence"
        What :meth:`transform` gives: decoded outputs, or the context vectors, as features for other estimators.
    reconstruct : bool or "auto", default="auto"
        Whether the network learns to reproduce X (autoencoder), whatever y is. "auto" is True with
        ``output="encoding"``, and where y is None.
    alignment : {"ctc"} or None, default=None
        "ctc": no decoder, a symbol or a blank for every input step, and a transcript is learnt without being told where
        its symbols are (connectionist temporal classification). For transcripts in the order of the input and not
        longer than it, as in speech.
    output_length : int or {"auto", "stop", "predict", "input"}, default="auto"
        How long outputs are. "stop": they end when the decoder says so; "predict": the length of values is predicted
        from C before; "input": as long as the input; or a number. "auto" is the length that all y share; "input" where
        values are all as long as their inputs; otherwise "stop" for symbols and "predict" for values.
    feedback : bool or "auto", default="auto"
        Whether the decoder reads its last output y_{t-1}. "auto" is True for symbols and False for values; in place of
        values it then reads its place in the sequence.
    teacher_forcing : float, default=1.0
        Probability that in training the decoder reads the true last output, not its own.
    teacher_forcing_schedule : {"constant", "linear", "exponential", "sigmoid"}, default="constant"
        How that probability falls from 1 to ``teacher_forcing`` over training (scheduled sampling).
    label_smoothing : float, default=0.1
        Share of the probability that targets spread over all symbols.
    beam_width : int, default=1
        Number of beginnings that are kept while symbols are written; 1 is greedy.
    length_penalty : float, default=1.0
        Outputs are ranked by log p / ((5 + n) / 6) ** length_penalty, n the number of symbols with the end (Wu et al.
        2016).
    min_length : int, default=0
        Fewest steps of an output.
    max_length : int or "auto", default="auto"
        Most steps of an output; "auto" is twice the longest of ``fit``, or more for longer inputs: as many a step
        of the input as the most in ``fit``.
    no_repeat_ngram_size : int, default=0
        Runs of so many symbols occur once only in an output; 0 for no such limit.
    dropout : float, default=0.2
        Share of values set to zero in training: between layers, and before the output.
    input_noise : float or "auto", default=0.0
        In training, standard deviation of Gaussian noise added to standardised values of X; for tokens the probability
        that one is read as unknown, in X and by the decoder. "auto" is two thirds of ``dropout``.
    input : {"sequence", "vector", "grid"}, default="sequence"
        What a sample of X is: a sequence of steps; one vector, which is C then (one-to-many); or a grid (height,
        width[, channels]), read cell by cell, row after row.
    step_network : torch.nn.Module, default=None
        Turns steps, ``(n_steps, *step_shape)``, into feature vectors, (n_steps, n_features). For grids it maps whole
        grids, (n, height, width, channels), to (n, height', width', n_features), say by convolutions; they want
        channels first. It is copied with the weights that it has and trained with the rest.
    tokenizer : {"char", "word"} or callable, or a tuple of two, default="char"
        How texts are cut into tokens, one way or ``(for X, for y)``; a callable maps a str to a list of str. Characters
        are joined to a text again by nothing, all else by blanks.
    tokens : bool or {"X", "y"}, default=False
        Read integers as tokens, not as values: on both sides, or on one.
    embedding_dim : int or "auto", default="auto"
        Length of a token's vector; "auto" is 32 for up to 256 different tokens, otherwise 128.
    embeddings : mapping from token to vector, default=None
        Initial vectors of these tokens of X, which then are all known.
    max_tokens : int, default=None
        Know only this many tokens of each side, the most frequent ones.
    min_frequency : int, default=1
        Know only tokens that are on their side of the training data this often.
    standardize : bool, default=True
        Standardise each feature of X, and each value of y, by mean and standard deviation of the training steps.
    missing : {"error", "mask"}, default="error"
        Refuse NaN in X, or read them as 0 after scaling beside one 0/1 feature for each input feature.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        What is minimised for values, in units of their standard deviation.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"} or callable, default="adam"
        A name, or a class of torch.optim.
    lr : float, default=0.004
        Learning rate.
    lr_schedule : {"auto", "constant", "cosine", "one_cycle"}, default="auto"
        Learning rate over training: "one_cycle" rises for a tenth of it and falls to 0 along half a cosine. "auto" is
        "one_cycle", or nothing where ``callbacks`` holds an LRScheduler.
    max_epochs : int or "auto", default="auto"
        Number of passes over the data; "auto" is as many as make 2,500 updates within 4 million time steps of X
        and y, at least 10 and at most 120.
    batch_size : int, default=32
        Number of pairs in a training batch.
    max_batch_steps : int, default=65536
        Most steps in a training batch, of inputs and outputs, padding included.
    weight_decay : float, default=0.0
        Handed to the optimizer.
    max_grad_norm : float, default=1.0
        Gradients of a larger Euclidean norm are scaled down to this one. None leaves them.
    max_grad_value : float, default=None
        Elements of the gradient are cut to this size first.
    normalize_grad : bool, default=False
        Divide the gradient by its norm.
    early_stopping : bool, default=False
        Hold out ``validation_fraction`` of the pairs, stop when the loss on them has not fallen, and keep the weights
        of the best epoch.
    validation_fraction : float, default=0.1
        Share of the pairs held out; used with ``early_stopping=True``.
    n_iter_no_change : int, default=10
        Number of epochs without improvement that ends training; used with ``early_stopping=True``.
    tol : float, default=1e-4
        Least improvement that counts; used with ``early_stopping=True``.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps", ...; "auto" is the first of CUDA, MPS and CPU that is there.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Type of weights and activations; "bfloat16" is that of activations alone, beside float32 weights.
    callbacks : list, default=None
        skorch callbacks, or (name, callback) pairs.
    warm_start : bool, default=False
        Whether ``fit`` goes on with the weights of the fit before.
    verbose : int, default=0
        1 shows a progress bar with the loss and the time that is left, 2 prints a line an epoch as well.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffling, dropout and validation split. The same seed gives the same model bit by bit on the
        same machine; global generators are not touched.

    Attributes
    ----------
    n_features_in_ : int
        Columns of a 2-D X, otherwise features of a step.
    feature_names_in_ : ndarray of str
        Names of the columns of a frame.
    vocabulary_, output_vocabulary_ : ndarray of str or int
        Tokens of X and of y in the order of their codes, where they are text or tokens.
    n_iter_ : int
        Number of epochs trained.
    loss_curve_ : list of float
        Training loss of every epoch.
    validation_scores_ : list of float
        Minus the loss on the held-out part after every epoch, with ``early_stopping=True``.
    history_ : skorch.history.History
        skorch's record of training.
    net_ : RecurrentNet
        The skorch net.
    module_ : torch.nn.Module
        The network.
    n_parameters_ : int
        Number of trained weights.

    References
    ----------
    I. Sutskever, O. Vinyals and Q. V. Le (2014). Sequence to sequence learning with neural networks. NeurIPS.
    K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP.
    D. Bahdanau, K. Cho and Y. Bengio (2014). Neural machine translation by jointly learning to align and translate.
    arXiv:1409.0473.
    M.-T. Luong, H. Pham and C. D. Manning (2015). Effective approaches to attention-based neural machine translation.
    EMNLP.
    A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber (2006). Connectionist temporal classification. ICML.

    Examples
    --------
    >>> from sktime_rnn import Seq2SeqTransformer
    >>> X = ["".join(letters) for letters in zip("abcdefgh" * 6, "bdfhaceg" * 6, "hgfe" * 12)]
    >>> y = [text[::-1] for text in X]
    >>> Seq2SeqTransformer(random_state=0).fit(X, y).predict(["abh"])
    ['hba']
    """

    _parameter_constraints: dict = {
        **BaseSequenceRNN._parameter_constraints,
        "attention": [StrOptions({"auto", *ATTENTIONS}), None],
        "input_feeding": ["boolean"],
        "context": [StrOptions({"auto", "state", "steps", "both"})],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "output": [StrOptions({"sequence", "encoding"})],
        "reconstruct": ["boolean", StrOptions({"auto"})],
        "alignment": [StrOptions({"ctc"}), None],
        "output_length": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto", "stop", "predict", "input"}),
        ],
        "feedback": ["boolean", StrOptions({"auto"})],
        "teacher_forcing": [Interval(Real, 0, 1, closed="both")],
        "teacher_forcing_schedule": [StrOptions(set(FORCING_SCHEDULES))],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "beam_width": [Interval(Integral, 1, None, closed="left")],
        "length_penalty": [Interval(Real, 0, None, closed="left")],
        "min_length": [Interval(Integral, 0, None, closed="left")],
        "max_length": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "no_repeat_ngram_size": [Interval(Integral, 0, None, closed="left")],
        "tokenizer": [StrOptions({"char", "word"}), callable, tuple],
        "tokens": ["boolean", StrOptions({"X", "y"})],
        "loss": [StrOptions(set(POINT_LOSSES))],
    }

    def __init__(
        self,
        cell="gru",
        hidden_size=128,
        num_layers=1,
        *,
        bidirectional=True,
        bias=True,
        nonlinearity="tanh",
        go_backwards=False,
        initial_state="zeros",
        attention="auto",
        input_feeding=False,
        context="auto",
        n_components=None,
        output="sequence",
        reconstruct="auto",
        alignment=None,
        output_length="auto",
        feedback="auto",
        teacher_forcing=1.0,
        teacher_forcing_schedule="constant",
        label_smoothing=0.1,
        beam_width=1,
        length_penalty=1.0,
        min_length=0,
        max_length="auto",
        no_repeat_ngram_size=0,
        dropout=0.2,
        input_noise=0.0,
        input="sequence",
        step_network=None,
        tokenizer="char",
        tokens=False,
        embedding_dim="auto",
        embeddings=None,
        max_tokens=None,
        min_frequency=1,
        standardize=True,
        missing="error",
        loss="squared_error",
        optimizer="adam",
        lr=0.004,
        lr_schedule="auto",
        max_epochs="auto",
        batch_size=32,
        max_batch_steps=65536,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_grad_value=None,
        normalize_grad=False,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        device="auto",
        precision="float32",
        callbacks=None,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.go_backwards = go_backwards
        self.initial_state = initial_state
        self.attention = attention
        self.input_feeding = input_feeding
        self.context = context
        self.n_components = n_components
        self.output = output
        self.reconstruct = reconstruct
        self.alignment = alignment
        self.output_length = output_length
        self.feedback = feedback
        self.teacher_forcing = teacher_forcing
        self.teacher_forcing_schedule = teacher_forcing_schedule
        self.label_smoothing = label_smoothing
        self.beam_width = beam_width
        self.length_penalty = length_penalty
        self.min_length = min_length
        self.max_length = max_length
        self.no_repeat_ngram_size = no_repeat_ngram_size
        self.dropout = dropout
        self.input_noise = input_noise
        self.input = input
        self.step_network = step_network
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.embedding_dim = embedding_dim
        self.embeddings = embeddings
        self.max_tokens = max_tokens
        self.min_frequency = min_frequency
        self.standardize = standardize
        self.missing = missing
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.max_batch_steps = max_batch_steps
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.max_grad_value = max_grad_value
        self.normalize_grad = normalize_grad
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state
